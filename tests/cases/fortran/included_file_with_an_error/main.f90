program main
  implicit none
  include 'parts/sizes.inc'
  print *, width
end program main
