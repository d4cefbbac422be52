#include "lib/call.hpp"
int main() { call(Empty{}); }
