// SPDX-License-Identifier: MIT
/// @file
/// Parameters and Record of a layer that is chosen at run time.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>

#include "ttt/core/error.hpp"
#include "ttt/core/parameters.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

/// The Derived that an object is; null when it is of another type, even one derived from it, or when there is none.
/// That takes a comparison, where a dynamic_cast looks through the bases.
template <class Derived, class Base>
Derived* exactly(Base* object) {
  return object && typeid(*object) == typeid(Derived) ? static_cast<Derived*>(object) : nullptr;
}

/// Throws Error unless `value` is there: the cast of something a caller passed to a layer of another type.
template <class Value>
Value& require_kind(Value* value, const char* what) {
  if (!value)
    throw_unexpected(std::string("AnySequenceLayer: ") + what, "one made by the same type of layer",
                     "one of another type, or none");
  return *value;
}

}  // namespace detail

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
    return detail::require_kind(detail::exactly<Model<Parameters>>(value_.get()), "Parameters").parameters;
  }
  template <class Parameters>
  const Parameters& get() const {
    return detail::require_kind(detail::exactly<const Model<Parameters>>(value_.get()), "Parameters").parameters;
  }
  /// Null when it has another type.
  template <class Parameters>
  const Parameters* find() const {
    const auto* model = detail::exactly<const Model<Parameters>>(value_.get());
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
    return detail::require_kind(detail::exactly<Model<Record>>(value_.get()), "Record").record;
  }
  /// Null when it has another type, or none.
  template <class Record>
  const Record* find() const {
    const auto* model = detail::exactly<const Model<Record>>(value_.get());
    return model ? &model->record : nullptr;
  }
  template <class Record>
  Record& get_or_make() {
    if (!detail::exactly<Model<Record>>(value_.get())) value_ = std::make_unique<Model<Record>>();
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
