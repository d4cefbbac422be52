#include <shapes/square.hpp>
double area(Square square) { return square.side * square.side; }
