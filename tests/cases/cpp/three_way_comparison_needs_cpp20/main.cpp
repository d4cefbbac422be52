#if __cplusplus > 201703L
#include <compare>
#endif
struct Version {
    int major_number, minor_number;
    auto operator<=>(const Version &) const = default;
};
bool older(Version left, Version right) { return left < right; }
