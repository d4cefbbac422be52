program main
  use geometry
  implicit none
  print *, area(2.0)
end program main
