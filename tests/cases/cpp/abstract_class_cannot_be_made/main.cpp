struct Shape { virtual double area() const = 0; virtual ~Shape() {} };
struct Square : Shape { double side = 1; };
Square square;
