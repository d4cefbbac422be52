public class Main {
    int one() {
        return 1;
        int two = 2;
    }
}
