package org.example;

public class Money {
    int cents = "many";
}
