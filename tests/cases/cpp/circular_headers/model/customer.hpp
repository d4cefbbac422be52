#pragma once
#include "order.hpp"
struct Customer { int id; Order *orders; };
