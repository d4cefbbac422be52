#include "shapes/square.hpp"
int main() { return static_cast<int>(area(Square{2})) - 4; }
