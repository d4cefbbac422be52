int apply(int value) { return [](int x) { return x + 1; }(value); }
