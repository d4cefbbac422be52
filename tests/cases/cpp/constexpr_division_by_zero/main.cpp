constexpr int divide(int by) { return 1 / by; }
constexpr int bad = divide(0);
