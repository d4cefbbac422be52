static_assert(ANSWER == 42, "the option did not arrive");
