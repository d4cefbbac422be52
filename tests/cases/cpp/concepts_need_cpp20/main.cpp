template <class T>
concept Small = sizeof(T) <= 4;

template <Small T>
T twice(T value) { return value + value; }

int four = twice(2);
