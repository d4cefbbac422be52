import java.io.FileReader;

public class Main {
    int first(String name) {
        return new FileReader(name).read();
    }
}
