#pragma once
namespace units {
inline namespace v1 {
template <class Tag> struct quantity {
    int count;
    constexpr explicit quantity(int value) : count(value) {}
};
template <class Tag> constexpr quantity<Tag> operator+(quantity<Tag> left, quantity<Tag> right) {
    return quantity<Tag>{left.count + right.count};
}
struct meters_tag;
using meters = quantity<meters_tag>;
}
}
