# SPDX-License-Identifier: MIT
"""What bench/run.sh makes of its measurements: rows, crossover, table, plot, command line, plan."""

import contextlib
import io
import json
import pathlib
import re
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
from report import build, peers, plan, plot, rows, table  # noqa: E402


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
            rows.write(list(latencies()), pathlib.Path(folder))
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
                self.of(program, "sequence/T:2000/window:0/backward:0", 10),
                self.of(program, "sequence/T:2000/window:256/backward:0", 4),
                self.of(program, "decode/cached:1024", 1, bytes_per_second=3e10),
            ]
        )
        self.assertIn("all before, forward 5", lines)
        self.assertIn("window 256, forward 2", lines)
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


class Interrupted(unittest.TestCase):
    def test_rows_measured_before_are_kept(self):
        steps = [plan.Step(name, "program", ".", 1) for name in ("first", "second")]
        with unittest.mock.patch("report.rows.of_program", side_effect=[["a row"], KeyboardInterrupt]):
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(run.measure(steps, pathlib.Path(), peers.NoPeers()), ["a row"])
        with unittest.mock.patch("report.rows.of_program", side_effect=KeyboardInterrupt):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaisesRegex(build.Failure, "before anything"):
                run.measure(steps, pathlib.Path(), peers.NoPeers())


class Peers(unittest.TestCase):
    def folder_with(self, scripts):
        """A DIR whose Python runs our own stand-ins for the peers."""
        folder = pathlib.Path(self.enterContext_(tempfile.TemporaryDirectory()))
        for name in ("venv/bin/python", "ttt-lm-pytorch/ttt.py", "ttt-lm-jax/ttt/models/ttt_layer.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("#!/bin/sh\n" + scripts, encoding="utf-8")
            (folder / name).chmod(0o755)
        return folder

    def enterContext_(self, manager):
        self.addCleanup(manager.__exit__, None, None, None)
        return manager.__enter__()

    def test_answers_become_rows(self):
        folder = self.folder_with(
            """while read line; do echo '[{"case": "forward", "tokens_per_second": 4000}]'; done\n"""
        )
        with peers.open_peers(folder, folder / "out") as opened:
            found = opened.answers(
                [dict(peer="pytorch", threads=1), dict(peer="jax", threads=1), dict(peer="llama.cpp", threads=1)]
            )
            self.assertEqual([answer["us_per_token"] for answer in found], [250, 250])  # there is no llama.cpp
            self.assertEqual(opened.report_failures(), 0)

    def test_a_peer_that_stops_is_named_and_left_out(self):
        folder = self.folder_with("read line; echo no module >&2; exit 1\n")
        with peers.open_peers(folder, folder / "out") as opened:
            self.assertEqual(opened.answers([dict(peer="jax", threads=1)] * 2), [])
            errors = io.StringIO()
            with contextlib.redirect_stderr(errors):
                self.assertEqual(opened.report_failures(), 1)
        self.assertIn("jax stopped: no module", errors.getvalue())

    def test_a_peer_that_stopped_before_it_was_asked_is_named_too(self):
        folder = self.folder_with("exit 1\n")
        with peers.open_peers(folder, folder / "out") as opened:
            opened.process("jax", 1).wait()
            self.assertEqual(opened.answers([dict(peer="jax", threads=1)]), [])
            self.assertEqual(opened.failures, {"jax": "no message"})

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

    def test_the_fastest_call_counts(self):
        pauses = [0, 0.05, 0, 0.05]  # the first is the warm-up
        self.assertLess(protocol.fastest(lambda: time.sleep(pauses.pop(0)), most_seconds=0), 0.05)
        self.assertEqual(len(pauses), 1)


class Plan(unittest.TestCase):
    def test_peers_are_asked_only_with_peers(self):
        self.assertFalse(any(step.requests for step in plan.steps([]) + plan.steps([], quick=True)))
        asked = {request["peer"] for step in plan.steps([], peers=True) for request in step.requests}
        self.assertEqual(asked, {"pytorch", "jax", "llama.cpp"})

    def test_other_programs_are_measured_whole(self):
        step = plan.steps(["kernels_matmul_bench"])[-1]
        self.assertEqual((step.name, step.program, step.filter), ("kernels matmul", "kernels_matmul_bench", "."))


if __name__ == "__main__":
    unittest.main()
