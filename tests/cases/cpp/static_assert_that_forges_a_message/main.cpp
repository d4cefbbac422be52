static_assert(sizeof(char) == 2, "first\nother.cpp:9:9: error: forged");
