module geometry
  use z_constants, only: pi
  implicit none
contains
  pure real function area(radius)
    real, intent(in) :: radius
    area = pi * radius ** 2
  end function area
end module geometry
