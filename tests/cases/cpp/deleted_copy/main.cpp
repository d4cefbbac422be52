#include <memory>
std::unique_ptr<int> first;
std::unique_ptr<int> second = first;
