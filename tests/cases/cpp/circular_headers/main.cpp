#include "model/customer.hpp"
int main() { return Order{}.customer.id; }
