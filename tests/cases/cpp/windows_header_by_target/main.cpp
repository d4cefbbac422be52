#include "window.hpp"
int main() { return ask("really?") ? 0 : 1; }
