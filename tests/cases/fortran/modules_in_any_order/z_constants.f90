module z_constants
  implicit none
  real, parameter :: pi = 3.14159
end module z_constants
