graph [
  directed 1
  target "Y"
  node [ id 0 label "X" noise 0.5 domain "[-1, 3]" x 10.0 ]
  node [ id 1 label "Z" kind "square" offset 1.0 ]
  node [ id 2 label "Y" expr "2*Z - X" noise 0 ]
  edge [ source 0 target 1 weight 0.5 ]
  edge [ source 0 target 2 ]
  edge [ source 1 target 2 ]
]
