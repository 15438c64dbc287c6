// SPDX-License-Identifier: MIT
/// @file
/// State, Parameters and Record of a layer that is chosen at run time.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>

#include "ttt/core/error.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/core/state.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// Throws Error unless `value` is there: the cast of something a caller passed to a layer of another type.
template <class Value>
Value& require_kind(Value* value, const char* what) {
  if (!value)
    throw_unexpected(std::string("AnySequenceLayer: ") + what, "one made by the same type of layer",
                     "one of another type, or none");
  return *value;
}

}  // namespace detail

/// The State of any layer over Scalar: a value like the one inside. Equal states hold the same type.
template <class Element>
class AnyState {
 public:
  using Scalar = Element;

  /// Holds nothing; only to be assigned to.
  AnyState() = default;
  template <class State>
  requires(!std::same_as<State, AnyState>) explicit AnyState(State state)
      : position(state.position), value_(std::make_unique<Model<State>>(std::move(state))) {}
  AnyState(const AnyState& other) : position(other.position), value_(other.value_ ? other.value_->clone() : nullptr) {}
  AnyState(AnyState&& other) noexcept = default;
  /// Allocates nothing when both hold the same type and size, so that a state can be restored while decoding.
  AnyState& operator=(const AnyState& other) {
    if (!value_ || !other.value_ || !value_->assign(*other.value_)) value_ = AnyState(other).value_;
    position = other.position;
    return *this;
  }
  AnyState& operator=(AnyState&& other) noexcept = default;

  Position position;  ///< tokens read since the sequence began

  void visit(StateVisitor<Scalar> visitor) {
    if (value_) value_->visit(visitor);
  }
  void wipe() {
    position = Position::none;
    if (value_) value_->wipe();
  }
  /// The state inside; throws Error when it has another type. Its own position may be behind: call `write_position`.
  template <class State>
  State& get() {
    return detail::require_kind(dynamic_cast<Model<State>*>(value_.get()), "State").state;
  }
  template <class State>
  const State& get() const {
    return detail::require_kind(find<State>(), "State");
  }
  /// Null when it has another type.
  template <class State>
  const State* find() const {
    const auto* model = dynamic_cast<const Model<State>*>(value_.get());
    return model ? &model->state : nullptr;
  }
  void write_position() { value_->set_position(position); }
  void read_position() { position = value_->position(); }

  friend bool operator==(const AnyState& a, const AnyState& b) {
    if (a.position != b.position || !a.value_ || !b.value_) return a.position == b.position && a.value_ == b.value_;
    if (a.value_->position() == b.value_->position()) return a.value_->equals(*b.value_);
    AnyState x(a), y(b);
    x.write_position();
    y.write_position();
    return x.value_->equals(*y.value_);
  }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual std::unique_ptr<Interface> clone() const = 0;
    virtual bool assign(const Interface& other) = 0;
    virtual bool equals(const Interface& other) const = 0;
    virtual void visit(StateVisitor<Scalar> visitor) = 0;
    virtual void wipe() = 0;
    virtual std::int64_t position() const = 0;
    virtual void set_position(std::int64_t position) = 0;
  };

  template <class State>
  struct Model final : Interface {
    explicit Model(State inner) : state(std::move(inner)) {}
    std::unique_ptr<Interface> clone() const override { return std::make_unique<Model>(state); }
    bool assign(const Interface& other) override {
      const auto* same = dynamic_cast<const Model*>(&other);
      if (same) state = same->state;
      return same != nullptr;
    }
    bool equals(const Interface& other) const override {
      const auto* same = dynamic_cast<const Model*>(&other);
      return same && state == same->state;
    }
    void visit(StateVisitor<Scalar> visitor) override { state.visit(visitor); }
    void wipe() override { state.wipe(); }
    std::int64_t position() const override { return state.position; }
    void set_position(std::int64_t position) override { state.position = position; }

    State state;
  };

  std::unique_ptr<Interface> value_;
};

/// The parameters of any layer over Scalar: views, or gradients, of the struct inside.
template <class Element>
class AnyParameters {
 public:
  using Scalar = Element;

  /// Holds nothing, names no tensor.
  AnyParameters() = default;
  template <class Parameters>
  requires(!std::same_as<Parameters, AnyParameters>) explicit AnyParameters(Parameters parameters)
      : value_(std::make_unique<Model<Parameters>>(std::move(parameters))) {}
  AnyParameters(const AnyParameters& other) : value_(other.value_ ? other.value_->clone() : nullptr) {}
  AnyParameters(AnyParameters&& other) noexcept = default;
  AnyParameters& operator=(const AnyParameters& other) { return *this = AnyParameters(other); }
  AnyParameters& operator=(AnyParameters&& other) noexcept = default;

  void visit(ParameterVisitor<Scalar> visitor) {
    if (value_) value_->visit(visitor);
  }
  /// The struct inside; throws Error when it has another type.
  template <class Parameters>
  Parameters& get() {
    return detail::require_kind(dynamic_cast<Model<Parameters>*>(value_.get()), "Parameters").parameters;
  }
  template <class Parameters>
  const Parameters& get() const {
    return detail::require_kind(dynamic_cast<const Model<Parameters>*>(value_.get()), "Parameters").parameters;
  }
  /// Null when it has another type.
  template <class Parameters>
  const Parameters* find() const {
    const auto* model = dynamic_cast<const Model<Parameters>*>(value_.get());
    return model ? &model->parameters : nullptr;
  }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual std::unique_ptr<Interface> clone() const = 0;
    virtual void visit(ParameterVisitor<Scalar> visitor) = 0;
  };

  template <class Parameters>
  struct Model final : Interface {
    explicit Model(Parameters inner) : parameters(std::move(inner)) {}
    std::unique_ptr<Interface> clone() const override { return std::make_unique<Model>(parameters); }
    void visit(ParameterVisitor<Scalar> visitor) override { parameters.visit(visitor); }

    Parameters parameters;
  };

  std::unique_ptr<Interface> value_;
};

/// The Record of any layer; becomes whatever the forward that fills it needs.
class AnyRecord {
 public:
  /// The record inside; throws Error when no forward of such a layer has filled it.
  template <class Record>
  Record& get() {
    return detail::require_kind(dynamic_cast<Model<Record>*>(value_.get()), "Record").record;
  }
  /// Null when it has another type, or none.
  template <class Record>
  const Record* find() const {
    const auto* model = dynamic_cast<const Model<Record>*>(value_.get());
    return model ? &model->record : nullptr;
  }
  template <class Record>
  Record& get_or_make() {
    if (!dynamic_cast<Model<Record>*>(value_.get())) value_ = std::make_unique<Model<Record>>();
    return get<Record>();
  }

 private:
  struct Interface {
    virtual ~Interface() = default;
  };
  template <class Record>
  struct Model final : Interface {
    Record record;
  };

  std::unique_ptr<Interface> value_;
};

TTT_NAMESPACE_END
