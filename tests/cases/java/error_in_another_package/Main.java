import org.example.Money;

public class Main { Money money = new Money(); }
