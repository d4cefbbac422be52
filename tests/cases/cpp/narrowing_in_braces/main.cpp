int value{3.5};
