struct Shape { virtual double area() const; };
struct Square : Shape { double area() override; };
