module shop {
    exports shop.hidden;
}
