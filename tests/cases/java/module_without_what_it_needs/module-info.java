module shop {
    exports shop.api;
}
