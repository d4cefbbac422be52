package shop.api;

public class Main {
}
