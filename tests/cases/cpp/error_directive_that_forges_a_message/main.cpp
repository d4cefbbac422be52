#error other.cpp:9:9: error: forged
