module selfhost/load

go 1.24
