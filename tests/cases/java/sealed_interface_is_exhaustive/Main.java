public class Main {
    sealed interface Shape permits Circle, Square { }
    record Circle(double radius) implements Shape { }
    record Square(double side) implements Shape { }

    double area(Shape shape) {
        return switch (shape) {
            case Circle circle -> circle.radius();
        };
    }
}
