import org.example.Hidden;

public class Main { Object hidden = new Hidden(); }
