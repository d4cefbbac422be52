import org.example.shapes.Shape;
import org.example.shapes.Square;

public class Main {
    public static void main(String[] arguments) {
        Shape shape = new Square(2);
        System.out.println(shape.area());
    }
}
