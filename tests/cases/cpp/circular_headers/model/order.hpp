#pragma once
#include "customer.hpp"
struct Order {
    Customer customer;
};
