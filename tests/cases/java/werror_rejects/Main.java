import java.util.List;

public class Main {
    List<String> cast(Object any) {
        return (List<String>) any;
    }
}
