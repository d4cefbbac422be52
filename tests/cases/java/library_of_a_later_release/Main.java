public class Main {
    boolean empty(String text) { return text.isBlank(); }
}
