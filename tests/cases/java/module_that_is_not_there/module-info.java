module shop {
    requires org.example.money;
    exports shop.api;
}
