int value = undeclared; // main.cpp:7:7: error: this is only a comment
