struct Empty {};
template <class T>
void call(T value) { value.missing_member(); }
