public class Main {
    int twice(int total) {
        return totl * 2;
    }
}
