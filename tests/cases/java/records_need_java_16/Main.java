public class Main {
    record Point(int x, int y) { }

    int sum(Point point) { return point.x() + point.y(); }
}
