#pragma once
struct Square { double side; };
double area(Square square);
