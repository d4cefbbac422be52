package org.example;

class Hidden { }
