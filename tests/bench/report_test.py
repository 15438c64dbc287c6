# SPDX-License-Identifier: MIT
"""What bench/run.sh makes of its measurements: rows, crossover, table, plot, command line, plan."""

import contextlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
import xml.etree.ElementTree

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path[:0] = [str(BENCH), str(BENCH / "peers")]
import protocol  # noqa: E402
import run  # noqa: E402
from report import build, kernels, peers, plan, plot, rows, table  # noqa: E402


def row(case, layer, time, **more):
    """A row of ours with `time` microseconds per token."""
    return dict(
        dict(source="ttt", case=case, layer=layer, width=768, threads=1, us_per_token=time, seconds=time, name=""),
        **more
    )


def latencies():
    """Attention that grows with the length beside layers that do not."""
    for length in (512, 2048, 8192):
        yield row("forward", "attention", 50 + length / 64, tokens=length, xfloor=1.5)
        yield row("forward", "ttt-linear", 66, tokens=length, xfloor=1.1)
        yield row("forward", "ttt-mlp", 400, tokens=length, xfloor=1.2)
        yield row("decode", "attention", length / 8, before=length, xread=2.0)
        yield row("decode", "ttt-linear", 100, before=length, xread=1.05)


class Rows(unittest.TestCase):
    def test_name_and_counters_of_a_benchmark_become_columns(self):
        made = rows.of_benchmark(
            {
                "name": "forward/ttt-linear/C:256/T:512/threads:2/manual_time",
                "real_time": 3.0,
                "time_unit": "ms",
                "seconds": 0.002,
                "tokens_per_second": 256000.0,
                "xfloor": 1.5,
                "cpu_time": 9.0,
            }
        )
        self.assertEqual(made["case"], "forward")
        self.assertEqual(made["layer"], "ttt-linear")
        self.assertEqual((made["width"], made["tokens"], made["threads"]), (256, 512, 2))
        self.assertEqual((made["seconds"], made["xfloor"]), (0.002, 1.5))
        self.assertAlmostEqual(made["us_per_token"], 1e6 / 256000)
        self.assertNotIn("cpu_time", made)

    def test_a_benchmark_without_counters_has_its_real_time(self):
        made = rows.of_benchmark({"name": "matmul<float>/64/768", "real_time": 3.0, "time_unit": "us"})
        self.assertEqual((made["case"], made["layer"]), ("matmul<float>", ""))
        self.assertAlmostEqual(made["seconds"], 3e-6)
        self.assertNotIn("us_per_token", made)
        made = rows.of_benchmark({"name": "sequence/T:512/window:256", "real_time": 1.0, "time_unit": "ms"})
        self.assertAlmostEqual(made["us_per_token"], 1000 / 512)

    def test_every_rate_is_kept_under_one_name(self):
        rates = {"flops": 1.0, "bytes_per_second": 2.0, "of_best_library": 0.98, "of_fma_peak": 0.9}
        made = rows.of_benchmark({"name": "sequence/T:512/window:256", "real_time": 1.0, "time_unit": "ms", **rates})
        kept = ["FLOP/s", "bytes/s", "of_best_library", "of_fma_peak"]
        self.assertEqual([made[key] for key in kept], [1.0, 2.0, 0.98, 0.9])
        self.assertLessEqual({*kept, "window"}, set(rows.COLUMNS))

    def test_good_cases_of_a_program_come_before_its_failure(self):
        cases = [
            {"name": "one/T:1", "error_occurred": True, "error_message": "no memory"},
            {"name": "two/T:2", "real_time": 1.0, "time_unit": "s"},
        ]
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder) / "some_bench"
            program.write_text("#!/bin/sh\necho '" + json.dumps({"benchmarks": cases}) + "'\n", encoding="utf-8")
            program.chmod(0o755)
            found = rows.of_program(program, ".", 1)
            self.assertEqual((made := next(found))["name"], "two/T:2")
            self.assertEqual(made["program"], "some_bench")
            with self.assertRaisesRegex(build.Failure, "some_bench: one/T:1: no memory"):
                next(found)

    def test_floors_use_the_best_rate_of_the_whole_run_at_their_threads(self):
        peaks = [
            dict(peak_ours=8.0, peak_eigen=12.0, peak_openblas=0.0),
            dict(peak_ours=10.0, peak_eigen=5.0, peak_openblas=7.0),
            dict(peak_ours=30.0, peak_eigen=5.0, peak_openblas=7.0),
        ]
        made = rows.with_floors(
            [
                dict(seconds=2.0, product_flops=10.0, threads=threads, xfloor=0.1, **peak)
                for threads, peak in zip((1, 1, 2), peaks)
            ]
            + [dict(seconds=1.0, threads=1)]
        )
        self.assertEqual([found.get("xfloor") for found in made], [2.4, 2.4, 6.0, None])

    def test_shares_use_the_best_rate_of_the_whole_run_on_one_thread(self):
        made = rows.with_shares(
            [
                {"FLOP/s": 9.0, "of_best_library": 2.0, "of_fma_peak": 0.9},
                {"FLOP/s": 6.0, "of_best_library": 0.8, "of_fma_peak": 0.5},
                dict(peak_eigen=5.0, peak_openblas=10.0, peak_fma=15.0, threads=1),
                dict(peak_eigen=20.0, peak_openblas=0.0, peak_fma=30.0, threads=2),
            ]
        )
        self.assertEqual([found.get("of_best_library") for found in made], [0.9, 0.6, None, None])
        self.assertEqual([found.get("of_fma_peak") for found in made], [0.6, 0.4, None, None])

    def test_files_hold_every_row(self):
        with tempfile.TemporaryDirectory() as folder:
            rows.write(list(latencies()), pathlib.Path(folder) / "results")
            csv = (pathlib.Path(folder) / "results.csv").read_text(encoding="utf-8").splitlines()
            self.assertEqual(len(csv), 1 + len(list(latencies())))
            self.assertEqual(csv[0].split(","), rows.COLUMNS)
            self.assertEqual(csv[1].split(",")[:4], ["ttt", "forward", "attention", "768"])
            self.assertEqual(
                json.loads((pathlib.Path(folder) / "results.json").read_text(encoding="utf-8")), list(latencies())
            )


class Crossover(unittest.TestCase):
    def test_is_between_two_lengths_where_straight_lines_meet(self):
        attention = {512: 50 + 512 / 64, 2048: 50 + 2048 / 64}
        self.assertAlmostEqual(table.crossover({512: 66, 2048: 66}, attention), 1024)

    def test_is_the_shortest_length_of_a_layer_that_is_always_faster(self):
        self.assertEqual(table.crossover({512: 1, 2048: 1}, {512: 2, 2048: 2}), 512)

    def test_is_none_for_a_layer_that_is_slower_in_the_end(self):
        self.assertIsNone(table.crossover({512: 1, 2048: 3}, {512: 2, 2048: 2}))
        self.assertIsNone(table.crossover({512: 1}, {}))

    def test_counts_from_the_last_length_at_which_attention_was_faster(self):
        found = table.crossover({512: 1, 1024: 3, 2048: 1}, {512: 2, 1024: 2, 2048: 2})
        self.assertEqual(found, 1536)

    def test_only_lengths_of_both_count(self):
        self.assertEqual(table.crossover({2048: 1, 8192: 9}, {512: 1, 2048: 2}), 2048)


class Table(unittest.TestCase):
    def test_shows_times_ratios_and_crossover(self):
        text = table.report(list(latencies()))
        lines = [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]
        self.assertIn("One layer, width 768, 1 thread, float: us per token (beside attention)", lines)
        self.assertIn("forward attention TTT-Linear TTT-MLP", lines)
        self.assertIn("2,048 tokens 82 66 (0.80) 400 (4.88)", lines)
        self.assertIn("faster than attention from 1,000 not up to 8,192", lines)
        self.assertIn("x floor, 2,048 1.50 1.10 1.20", lines)
        self.assertIn("decode of one token behind attention TTT-Linear TTT-MLP", lines)
        self.assertIn("x one read of the weights, 2,048 2.00 1.05", lines)

    def test_puts_peers_beside_ours(self):
        peer = [
            row("forward", "attention", 100, tokens=2048, source="pytorch"),
            row("forward", "ttt-linear", 132, tokens=2048, source="jax"),
        ]
        lines = [re.sub(r"\s+", " ", line).strip() for line in table.report([*latencies(), *peer]).splitlines()]
        self.assertIn("against theirs our attention our TTT-Linear our TTT-MLP", lines)
        self.assertIn(
            "PyTorch attention, forward, width 768, 2,048 tokens, 1 thread 100 82 (1.22) 66 (1.52) 400 (0.25)", lines
        )
        self.assertIn("JAX TTT-Linear, forward, width 768, 2,048 tokens, 1 thread 132 66 (2.00)", lines)

    def test_products_in_bfloat16_are_lines_of_their_own(self):
        rows = [
            row("lm_wide_training_step", "ttt-linear", 20, batch=8, tokens_per_second=50.0),
            row("lm_wide_training_step", "ttt-linear-bfloat16-products", 10, batch=8, tokens_per_second=100.0),
        ]
        lines = [" ".join(line.split()) for line in table.report(rows).splitlines()]
        self.assertIn("training, 2 blocks of width 768, batch 8, 1 thread 50", lines)
        self.assertIn("training, 2 blocks of width 768, batch 8, bfloat16 products, 1 thread 100", lines)

    def test_weights_in_bfloat16_are_lines_of_their_own(self):
        narrow = [
            row("decode_stack", "ttt-linear-bfloat16", 50, bytes_per_token=5e6, xread=1.05),
            row("lm_decode", "ttt-linear-bfloat16", 1000, before=0, tokens_per_second=1000.0),
        ]
        peer = row("lm_decode", "attention-bfloat16", 1500, before=0, source="llama.cpp")
        lines = [re.sub(r"\s+", " ", line).strip() for line in table.report([*narrow, peer]).splitlines()]
        self.assertIn("TTT-Linear, bfloat16 weights, width 768, 1 thread 50 5 1.05", lines)
        self.assertIn("one by one behind 0, width 768, bfloat16 weights, 1 thread 1,000", lines)
        self.assertIn(
            "llama.cpp attention, bfloat16 weights, language model decode, width 768, behind 0, 1 thread "
            "1,500 1,000 (1.50)",
            lines,
        )

    def test_a_peer_all_in_bfloat16_stands_beside_float(self):
        peer = row("forward", "attention-all-bfloat16", 41, tokens=2048, source="pytorch")
        lines = [" ".join(line.split()) for line in table.report([*latencies(), peer]).splitlines()]
        label = "PyTorch attention, all in bfloat16, forward, width 768, 2,048 tokens, 1 thread"
        self.assertIn(label + " 41 82 (0.50) 66 (0.62) 400 (0.10)", lines)

    def test_compares_the_fastest_of_two_trees(self):
        there = [dict(name="a/manual_time", us_per_token=t, seconds=t) for t in (4, 3)]
        here = [dict(name="a/manual_time", us_per_token=t, seconds=t) for t in (2, 5)]
        self.assertEqual(table.comparison(here, there).split("\n")[1].split(), ["a", "3", "2", "1.50"])


class Kernels(unittest.TestCase):
    def lines(self, measured):
        return [" ".join(line.split()) for line in table.report(measured).splitlines()]

    def of(self, program, name, milliseconds, **counters):
        return dict(
            rows.of_benchmark(dict(counters, name=name, real_time=milliseconds, time_unit="ms")), program=program
        )

    def test_products_stand_beside_the_best_library_and_one_read(self):
        program, at = "kernels_matmul_bench", "/rows:2048/width:768/manual_time"
        lines = self.lines(
            [
                self.of(program, "forward" + at, 1, **{"FLOP/s": 9e10, "of_best_library": 0.98}),
                self.of(program, "eigen" + at, 1, **{"FLOP/s": 6e10, "of_best_library": 0.65}),
                self.of(program, "few_rows/rows:1/width:768", 1, **{"FLOP/s": 4e10, "xread": 1.08}),
            ]
        )
        self.assertIn("2,048 rows: GFLOP/s (of the best library's) width 768", lines)
        self.assertIn("product 90 (0.98)", lines)
        self.assertIn("Eigen (AVX2) 60 (0.65)", lines)
        self.assertIn("1 row 40 (1.08)", lines)

    def test_weights_in_bfloat16_stand_below_float(self):
        program = "kernels_matmul_bfloat16_bench"
        rates = {"product<PanelView<const float>>": 1e10, "product<Bfloat16PanelView>": 1.9e10}
        lines = self.lines(
            [self.of(program, name + "/rows:1/K:8/N:8", 1, **{"FLOP/s": rate}) for name, rate in rates.items()]
        )
        self.assertIn("weights in float 10", lines)
        self.assertIn("weights in bfloat16 19", lines)

    def test_forms_and_sizes_stand_beside_the_dual_form_of_the_fixed_size(self):
        program, at = "rules_ttt_linear_bench", "/D:64/K:16/T:1000/backward:"
        lines = self.lines(
            [
                self.of(program, "sequence<rules::TttLinear<float, 64, 16>>" + at + "0", 1),
                self.of(program, "sequence<rules::TttLinear<float, 64, 16>>" + at + "1", 4),
                self.of(program, "sequence/primal, spelled out" + at + "0", 3),
                self.of(program, "sequence<rules::TttLinear<float>>" + at + "0", 1.1),
                self.of(program, "sequence<rules::TttLinear<float>>/D:32/K:16/T:1000/backward:1", 2),
            ]
        )
        self.assertIn("TTT-Linear, dual form, D = 64 1 4", lines)
        self.assertIn("TTT-Linear, primal form as in the paper, D = 64 3 (3.00)", lines)
        self.assertIn("TTT-Linear, dual form, any size, D = 64 1.1 (1.10)", lines)
        self.assertIn("TTT-Linear, dual form, any size, D = 32 2", lines)

    def test_layers_of_any_size_stand_beside_those_of_a_fixed_one(self):
        lines = self.lines([*latencies(), row("forward", "ttt-mlp-any-size", 440, tokens=2048)])
        self.assertIn("TTT-MLP, width 768, 2,048 tokens 440 (1.10)", lines)

    def test_attention_shows_windows_and_the_rate_at_which_its_cache_is_read(self):
        program = "rules_attention_bench"
        lines = self.lines(
            [
                self.of(program, "sequence/T:2000/window:0/sinks:0/backward:0", 10),
                self.of(program, "sequence/T:2000/window:256/sinks:0/backward:0", 4),
                self.of(program, "sequence/T:2000/window:256/sinks:4/backward:0", 6),
                self.of(program, "decode/cached:1024", 1, bytes_per_second=3e10),
            ]
        )
        self.assertIn("all before, forward 5", lines)
        self.assertIn("window 256, forward 2", lines)
        self.assertIn("window 256 and 4 sinks, forward 3", lines)
        self.assertIn("cache of 12 heads: GB/s 30", lines)

    def test_nothing_measured_is_no_heading(self):
        self.assertNotIn("Kernels", table.report(list(latencies())))


class Plot(unittest.TestCase):
    def test_a_run_without_latencies_is_an_empty_sheet(self):
        self.assertNotIn("<path", plot.latency([dict(source="ttt", case="few_rows", layer="", width=256)]))

    def test_is_well_formed_and_labels_every_line_once(self):
        svg = xml.etree.ElementTree.fromstring(plot.latency(list(latencies())))
        texts = [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
        self.assertEqual(texts.count("TTT-Linear"), 2)
        self.assertEqual(texts.count("TTT-MLP"), 1)
        self.assertEqual(texts.count("attention"), 2)
        self.assertIn("8k", texts)

    def test_has_logarithmic_axes(self):
        series = {"attention": {512: 10, 2048: 20, 8192: 40}}
        path = next(part for part in plot.panel("", "", "", series, 0) if 'fill="none"' in part)
        (x0, y0), (x1, y1), (x2, y2) = [map(float, point.split()) for point in re.findall(r"[ML]([\d.]+ [\d.]+)", path)]
        self.assertAlmostEqual(x1 - x0, x2 - x1, delta=0.2)
        self.assertAlmostEqual(y0 - y1, y1 - y2, delta=0.2)

    def test_labels_keep_their_order_and_distance(self):
        placed = plot.spread([100, 101, 102, 200], 14)
        self.assertEqual(placed[3], 200)
        for low, high in zip(placed, placed[1:]):
            self.assertGreaterEqual(high - low, 13.9)

    def test_ticks_are_round(self):
        self.assertEqual(plot.ticks(40, 600), [50, 100, 200, 500])
        self.assertEqual(plot.ticks(3, 90000), [10, 100, 1000, 10000])


class CommandLine(unittest.TestCase):
    def message(self, *arguments):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            sys.argv[1:] = arguments
            self.assertEqual(run.main(), 2)
        self.assertEqual(errors.getvalue().count("\n"), 1)
        return errors.getvalue()

    def test_each_error_is_a_line_that_names_the_option(self):
        self.assertIn("--fast", self.message("--fast"))
        self.assertIn("--qui", self.message("--qui"))
        self.assertIn("--output", self.message("--output"))
        self.assertIn("--output: cannot make folder", self.message("--output", "/proc/none"))
        self.assertIn("--compare: no revision 'no-such-name'", self.message("--compare", "no-such-name"))
        self.assertIn(
            "--compare: cannot be combined with --peers", self.message("--compare", "HEAD", "--peers", "/tmp")
        )
        self.assertIn("--peers: /nowhere/venv/bin/python is not there", self.message("--peers", "/nowhere"))


class Measure(unittest.TestCase):
    def measure(self, *answers):
        """Steps that answer so: a list of rows, or rows and then an exception."""

        def rows_of(step):
            for answer in answers[int(step.name)]:
                if not isinstance(answer, str):
                    raise answer
                yield answer

        with contextlib.redirect_stderr(io.StringIO()):
            return run.measure([plan.Step(str(i), "program", ".", 1) for i in range(len(answers))], rows_of)

    def test_ctrl_c_keeps_the_rows_before(self):
        measured, failures = self.measure(["a", "b", KeyboardInterrupt()], ["c"])
        self.assertEqual(measured, ["a", "b"])
        self.assertIn("interrupted", failures[0])

    def test_a_step_that_fails_is_named_and_the_others_are_measured(self):
        measured, failures = self.measure(["a"], ["b", build.Failure("some_bench stopped")], ["c"])
        self.assertEqual((measured, failures), (["a", "b", "c"], ["1: some_bench stopped"]))

    def test_no_rows_are_an_error(self):
        for problem in (KeyboardInterrupt(), build.Failure("some_bench stopped")):
            with self.assertRaisesRegex(build.Failure, "nothing was measured: .*(interrupted|some_bench stopped)"):
                self.measure([problem])


class Results(unittest.TestCase):
    """Whole runs over stand-ins for the benchmark programs."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def programs(self, name, models):
        """A folder of programs of which one answers with a row and the other does as `models` says."""
        (self.folder / name).mkdir()
        case = {"name": "forward/attention/C:256/T:512/threads:1", "real_time": 1.0, "time_unit": "ms"}
        answer = "echo '" + json.dumps({"benchmarks": [case]}) + "'"
        for program, script in ((plan.LAYERS, answer), (plan.MODELS, models or answer)):
            (self.folder / name / program).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            (self.folder / name / program).chmod(0o755)
        return self.folder / name

    def run_with(self, *arguments):
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            sys.argv[1:] = ["--quick", "--output", str(self.folder / "out"), *arguments]
            code = run.main()
        return code, output.getvalue(), errors.getvalue()

    def test_a_program_that_fails_costs_its_own_rows_only(self):
        programs = self.programs("here", "echo out of memory >&2; exit 3")
        with unittest.mock.patch("report.build.benchmarks", return_value=programs):
            code, _, errors = self.run_with()
        self.assertEqual(code, 1)
        self.assertIn(f"small language model: {plan.MODELS} stopped with code 3: out of memory", errors)
        written = json.loads((self.folder / "out/results.json").read_text(encoding="utf-8"))
        self.assertEqual({row["program"] for row in written}, {plan.LAYERS})
        self.assertIn("512 tokens", (self.folder / "out/table.txt").read_text(encoding="utf-8"))

    def test_a_comparison_leaves_results_alone_and_says_what_is_missing(self):
        here, there = self.programs("here", None), self.programs("there", None)
        with unittest.mock.patch("report.build.benchmarks", return_value=here), unittest.mock.patch(
            "report.build.benchmarks_of", return_value=(there, [plan.MODELS])
        ), unittest.mock.patch("report.build.revision", return_value="0123456789abcdef"):
            code, output, _ = self.run_with("--compare", "some-name")
        self.assertEqual(code, 0)
        self.assertIn("forward/attention/C:256/T:512/threads:1", output)
        self.assertIn(f"not compared: {plan.MODELS} does not build with 0123456789ab", output)
        self.assertEqual(
            sorted(path.name for path in (self.folder / "out").iterdir()),
            ["comparison.csv", "comparison.json", "comparison.txt"],
        )
        written = json.loads((self.folder / "out/comparison.json").read_text(encoding="utf-8"))
        found = {(row["source"], row["program"]) for row in written}
        self.assertEqual(found, {("this tree", plan.LAYERS), ("reference", plan.LAYERS)})

    def test_a_comparison_names_the_tree_whose_program_fails(self):
        here, there = self.programs("here", None), self.programs("there", "exit 4")
        with unittest.mock.patch("report.build.benchmarks", return_value=here), unittest.mock.patch(
            "report.build.benchmarks_of", return_value=(there, [])
        ), unittest.mock.patch("report.build.revision", return_value="0123456789abcdef"):
            code, _, errors = self.run_with("--compare", "some-name")
        self.assertEqual(code, 1)
        self.assertIn(f"small language model: reference: {plan.MODELS} stopped with code 4", errors)
        self.assertTrue((self.folder / "out/comparison.txt").exists())


class Revision(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "bench").mkdir()
        (self.root / "bench/some_bench.cpp").write_text("", encoding="utf-8")
        author = ["-c", "user.name=author", "-c", "user.email=author"]
        for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "all"]):
            subprocess.run(["git", *command], cwd=self.root, check=True)
        self.commit = build.revision(self.root, "HEAD")

    def test_a_tree_that_was_cut_short_is_made_again(self):
        aside = self.root / "build/compare" / (self.commit[:12] + ".part")
        aside.mkdir(parents=True)
        (aside / "left_over").write_text("", encoding="utf-8")
        with unittest.mock.patch("tarfile.TarFile.extractall", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                build._tree_of(self.root, self.commit)
        tree = build._tree_of(self.root, self.commit)
        self.assertEqual(tree, self.root / "build/compare" / self.commit[:12])
        self.assertEqual([path.name for path in tree.iterdir()], ["bench"])
        self.assertEqual([path.name for path in tree.parent.iterdir()], [tree.name])

    def test_programs_that_do_not_build_are_named(self):
        def works(command, *_):
            return command[-1] != "models_bench"

        with unittest.mock.patch("report.build._works", side_effect=works):
            wanted = {"models_bench", "layers_bench"}
            _, missing = build.benchmarks_of(self.root, self.commit, self.root, wanted)
            self.assertEqual(missing, ["models_bench"])
            with self.assertRaisesRegex(build.Failure, "builds none of models_bench"):
                build.benchmarks_of(self.root, self.commit, self.root, {"models_bench"})


class Peers(unittest.TestCase):
    def folder_with(self, scripts):
        """A DIR whose Python runs our own stand-ins for the peers."""
        folder = pathlib.Path(self.enterContext_(tempfile.TemporaryDirectory()))
        for name in ("venv/bin/python", "ttt-lm-pytorch/ttt.py", "ttt-lm-jax/ttt/models/ttt_layer.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("#!/bin/sh\n" + scripts, encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder

    def step(self, *asked):
        requests = [dict(peer=peer, threads=1, case="forward", layer="ttt-mlp") for peer in asked]
        return plan.Step("a step", "program", ".", 0.3, requests)

    def enterContext_(self, manager):
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    def test_answers_become_rows(self):
        folder = self.folder_with(
            """while read line; do echo '[{"case": "forward", "tokens_per_second": 4000}]'; done\n"""
        )
        with peers.open_peers(folder, folder / "out") as opened:
            found = opened.answers(self.step("pytorch", "jax", "llama.cpp"))
            self.assertEqual([answer["us_per_token"] for answer in found], [250, 250])  # there is no llama.cpp
            self.assertEqual(opened.reasons(), [])

    def test_a_peer_measures_as_long_as_we_do(self):
        folder = self.folder_with("""while read line; do echo "[$line]"; done\n""")
        with peers.open_peers(folder, folder / "out") as opened:
            self.assertEqual([answer["min_time"] for answer in opened.answers(self.step("jax"))], [0.3])

    def test_a_peer_that_stops_is_named_and_left_out(self):
        folder = self.folder_with("read line; echo no module >&2; exit 1\n")
        with peers.open_peers(folder, folder / "out") as opened:
            self.assertEqual(list(opened.answers(self.step("jax", "jax"))), [])
            self.assertIn("--peers: jax: stopped: no module", opened.reasons()[0])

    def test_a_peer_that_hangs_is_named_and_ended_with_what_it_started(self):
        folder = self.folder_with("sleep 60 & read line; wait\n")
        start = time.monotonic()
        with peers.open_peers(folder, folder / "out") as opened, unittest.mock.patch("report.peers.MOST_SECONDS", 0.5):
            self.assertEqual(list(opened.answers(self.step("jax", "jax"))), [])
            self.assertIn("--peers: jax: no answer to 'forward ttt-mlp' within 0.5 s", opened.reasons()[0])
            self.assertEqual(opened.running, {})
        self.assertLess(time.monotonic() - start, 30)  # its output ends with the last that holds it

    def test_a_peer_that_stopped_before_it_was_asked_is_named_too(self):
        folder = self.folder_with("exit 1\n")
        with peers.open_peers(folder, folder / "out") as opened:
            opened.process("jax", 1).wait()
            self.assertEqual(list(opened.answers(self.step("jax"))), [])
            self.assertEqual(opened.failures, {"jax": "stopped: no message"})

    def test_rows_say_who_what_and_how_fast(self):
        made = protocol.row(
            dict(peer="jax", case="forward", layer="ttt-mlp", width=256, heads=4, threads=1, tokens=8), 2.0, 8
        )
        self.assertEqual(
            (made["source"], made["layer"], made["tokens_per_second"], made["seconds"]), ("jax", "ttt-mlp", 4.0, 2.0)
        )

    def test_sizes_of_an_answer_may_be_its_own(self):
        made = protocol.row(dict(peer="llama.cpp", case="lm_prefill", layer="attention", threads=2), 2.0, 8, tokens=8)
        self.assertEqual((made["tokens"], made["threads"]), (8, 2))

    def calls_of(self, pauses, min_time):
        """How long the fastest of these calls took, the first being the warm-up, and how many were left."""
        clock, left = [0.0], list(pauses)
        with unittest.mock.patch("protocol.time.perf_counter", side_effect=lambda: clock[0]):

            def call():
                clock[0] += left.pop(0)

            return protocol.fastest(call, min_time), len(left)

    def test_the_fastest_of_two_to_six_calls_counts(self):
        self.assertEqual(self.calls_of([1.0, 5.0, 4.0, 1.0], min_time=0.3), (4.0, 1))
        self.assertEqual(self.calls_of([1.0] + 9 * [0.25], min_time=0.3), (0.25, 3))

    def test_a_long_call_is_its_own_warm_up(self):
        self.assertEqual(self.calls_of([11.0, 1.0], min_time=0.3), (11.0, 1))

    def test_short_calls_go_on_as_long_as_ours(self):
        self.assertEqual(self.calls_of([0.0] + 40 * [0.0625] + [0.01], min_time=2.5), (0.0625, 1))


class Plan(unittest.TestCase):
    def test_peers_are_asked_only_with_peers(self):
        self.assertFalse(any(step.requests for step in plan.steps([]) + plan.steps([], quick=True)))
        asked = {request["peer"] for step in plan.steps([], peers=True) for request in step.requests}
        self.assertEqual(asked, {"pytorch", "jax", "llama.cpp"})

    def test_sizes_known_at_run_time_are_measured_beside_fixed_ones(self):
        step = next(step for step in plan.steps([]) if "any-size" in step.filter)
        for layer in ("ttt-linear", "ttt-linear-any-size", "ttt-mlp", "ttt-mlp-any-size"):
            self.assertTrue(re.search(step.filter, f"forward_backward/{layer}/C:768/T:2048/threads:1/manual_time"))

    def test_attention_of_pytorch_in_bfloat16_is_asked_for_at_both_widths(self):
        asked = [request for step in plan.steps([], peers=True) for request in step.requests]
        for case in ("forward", "forward_backward"):
            found = rows.select(asked, peer="pytorch", case=case, layer="attention-all-bfloat16", tokens=2048)
            shapes = [(request["width"], request["threads"]) for request in found]
            self.assertEqual(sorted(shapes), [(256, 1), (256, 2), (768, 1), (768, 2)])

    def test_other_programs_are_measured_whole(self):
        step = plan.steps(["kernels_matmul_bench"])[-1]
        self.assertEqual((step.name, step.program, step.filter), ("kernels matmul", "kernels_matmul_bench", "."))


if __name__ == "__main__":
    unittest.main()
