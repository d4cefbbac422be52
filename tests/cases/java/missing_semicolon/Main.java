public class Main {
    int size = 10
    int width = 20;
}
